#compdef tandem
# Completion of tandem for zsh. Put it as _tandem into a directory of $fpath, or have your shell run
#   source <(tandem completion zsh)
_tandem() {
	local kind line
	local -a lines plain open
	lines=("${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2> /dev/null)}")
	kind=${lines[1]}
	for line in "${(@)lines[2,-1]}"; do
		[[ -n $line ]] || continue
		local word=${line%%$'\t'*} help=${line#*$'\t'}
		word=${word//:/\\:}
		if [[ $word == *= ]]; then open+=("$word:$help"); else plain+=("$word:$help"); fi
	done
	case $kind in
		file) [[ $PREFIX == --*=* ]] && compset -P '*='; _files ;;
		directory) [[ $PREFIX == --*=* ]] && compset -P '*='; _files -/ ;;
	esac
	(( $#plain )) && _describe -V tandem plain
	(( $#open )) && _describe -V flag open -S ''
}
if [ "${funcstack[1]}" = _tandem ]; then _tandem "$@"; else compdef _tandem tandem; fi
