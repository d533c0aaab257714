//go:build deploy

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestManual: man and mandoc find nothing to warn of in the manual.
func TestManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, nil, tandem(t), "man", "--dir", dir)
	pages, err := filepath.Glob(filepath.Join(dir, "man*", "*"))
	if err != nil || len(pages) < 15 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, page := range pages {
		if out := run(t, nil, "mandoc", "-T", "lint", "-W", "warning", page); out != "" {
			t.Errorf("mandoc:\n%s", out)
		}
		cmd := exec.CommandContext(t.Context(), "man", "--warnings", "-l", page)
		cmd.Env = append(os.Environ(), "MANPAGER=cat", "MANWIDTH=80")
		var warnings strings.Builder
		cmd.Stderr = &warnings
		text, err := cmd.Output()
		if err != nil || warnings.Len() > 0 {
			t.Errorf("man %s: %v\n%s", page, err, &warnings)
		}
		name, _, _ := strings.Cut(filepath.Base(page), ".")
		if !strings.Contains(string(text), name) {
			t.Errorf("%s:\n%s", page, text)
		}
	}
}

// asShell has each shell complete a command line, and prints the words, one a line. $1 is the line.
var asShell = map[string][]string{
	// bash calls the function with what it has taken apart, and shows what is in COMPREPLY.
	"bash": {"bash", "--norc", "--noprofile", "-c", `
		source <(tandem completion bash)
		COMP_LINE=$1 COMP_POINT=${#1}
		read -ra COMP_WORDS <<< "$1"; [[ $1 == *' ' ]] && COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_WORDBREAKS=$' \t\n"><;|&(:'
		_tandem
		printf '%s\n' "${COMPREPLY[@]}"`, "bash"},
	// fish has a command for it.
	"fish": {"fish", "--no-config", "-c", `tandem completion fish | source; complete --do-complete $argv[1] | string replace -r '\t.*' ''; true`},
}

// TestShells has bash and fish complete command lines.
func TestShells(t *testing.T) {
	t.Parallel()
	program := tandem(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "settings.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for shell, how := range asShell {
		for _, c := range []struct {
			line string
			want []string
		}{
			{"tandem conn", []string{"connections"}},
			{"tandem connections ", []string{"close", "drain", "forget", "list"}},
			{"tandem connections --wat", []string{"--watch"}},
			{"tandem connections --so", []string{"--sort="}},
			{"tandem connections --where state=", []string{"state=closed", "state=closing", "state=draining", "state=open"}},
			{"tandem completion ", []string{"bash", "fish", "zsh"}},
			{"tandem validate --config " + dir + "/se", []string{dir + "/settings.yaml"}},
			{"tandem validate --config=" + dir + "/se", []string{"--config=" + dir + "/settings.yaml"}},
		} {
			if shell == "bash" { // it has what stands before the = already
				for i, w := range c.want {
					if strings.HasPrefix(w, c.line[strings.LastIndex(c.line, " ")+1:]) && strings.Contains(c.line, "=") {
						_, c.want[i], _ = strings.Cut(w, "=")
					}
				}
			}
			cmd := exec.CommandContext(t.Context(), how[0], append(slices.Clone(how[1:]), c.line)...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "HOME="+dir)
			out, err := cmd.CombinedOutput()
			got := strings.Fields(string(out))
			slices.Sort(got)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s, %q: %v %q, want %q", shell, c.line, err, got, c.want)
			}
		}
	}
}

// TestTerminals types into the shells as a person does, in a terminal, and reads what they made of it.
func TestTerminals(t *testing.T) {
	t.Parallel()
	program := tandem(t)
	for shell, begin := range map[string]string{
		"bash": "exec bash --norc --noprofile -i",
		"zsh":  "exec zsh -f -i",
		"fish": "exec fish --no-config -i",
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			socket := filepath.Join(dir, "s")
			tmux := func(args ...string) string {
				t.Helper()
				return run(t, nil, "tmux", append([]string{"-S", socket, "-f", "/dev/null"}, args...)...)
			}
			start := "export PS1='ready> ' HOME=" + dir + " PATH=" + filepath.Dir(program) + ":$PATH; cd " + dir + "; " + begin
			tmux("new-session", "-d", "-x", "100", "-y", "30", "sh", "-c", start)
			t.Cleanup(func() { _ = exec.Command("tmux", "-S", socket, "kill-server").Run() })
			// typed types keys, and waits until the screen has what is wanted.
			typed := func(want string, keys ...string) {
				t.Helper()
				tmux(append([]string{"send-keys", "--"}, keys...)...)
				screen := ""
				await(t, func() bool {
					screen = tmux("capture-pane", "-p")
					return strings.Contains(screen, want)
				}, func() string { return "no " + want + " on the screen:\n" + screen })
			}
			load := map[string]string{
				"bash": "source <(tandem completion bash); echo load''ed",
				"zsh":  "autoload -U compinit; compinit -u; source <(tandem completion zsh); echo load''ed",
				"fish": "tandem completion fish | source; echo load''ed",
			}[shell]
			typed("\nloaded", load, "Enter")
			typed("tandem transactions", "tandem transa", "Tab")
			typed("--offset=", "--of", "Tab")
			typed("--offset=5 --json", "5 --js", "Tab")
			typed("tandem peers --watch", "C-u", "tandem pe", "Tab", "--wa", "Tab")
		})
	}
}
