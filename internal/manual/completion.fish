# Completion of tandem for fish. Put it into ~/.config/fish/completions/tandem.fish, or have your shell run
#   tandem completion fish | source
function __tandem_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] 2>/dev/null)
    set -l current (commandline -ct)
    switch "$lines[1]"
        case file directory
            set -l before (string match -r -- '^--[^=]*=' $current)
            set -l at (string replace -r -- '^--[^=]*=' '' $current)
            for path in (__fish_complete_path "$at")
                printf '%s%s\n' "$before" "$path"
            end
    end
    for line in $lines[2..-1]
        echo -- $line
    end
end
complete -c tandem -f -a '(__tandem_complete)'
