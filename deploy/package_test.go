//go:build deploy

package deploy

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// debian builds the package, and returns its name.
func debian(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run(t, nil, "debian/build", dir)
	files, err := filepath.Glob(filepath.Join(dir, "tandem_*.deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	return files[0]
}

// TestPackage: the Debian package has what it should, lintian finds nothing in it, and it can be installed, changed,
// taken away and purged, in a copy of this machine's files of which nothing is kept.
func TestPackage(t *testing.T) {
	t.Parallel()
	deb := debian(t)
	listing := run(t, nil, "dpkg-deb", "-c", deb)
	for _, want := range []string{
		`-rwxr-xr-x root/root .* \./usr/bin/tandem\n`,
		`-rw-r--r-- root/root .* \./etc/tandem/tandem\.yaml\n`,
		`-rw-r--r-- root/root .* \./lib/systemd/system/tandem\.service\n`,
		`-rw-r--r-- root/root .* \./usr/share/man/man1/tandem-serve\.1\.gz\n`,
		`-rw-r--r-- root/root .* \./usr/share/man/man5/tandem\.yaml\.5\.gz\n`,
		`-rw-r--r-- root/root .* \./usr/share/bash-completion/completions/tandem\n`,
		`-rw-r--r-- root/root .* \./usr/share/doc/tandem/examples/carrier\.yaml\n`,
	} {
		if !regexp.MustCompile(want).MatchString(listing) {
			t.Errorf("the package has no %s:\n%s", want, listing)
		}
	}
	if out := run(t, nil, "dpkg-deb", "--ctrl-tarfile", deb); !strings.Contains(out, "/etc/tandem/tandem.yaml\n") {
		t.Error("/etc/tandem/tandem.yaml is no conffile")
	}
	if out := run(t, nil, "lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", deb); strings.TrimSpace(out) != "" {
		t.Logf("lintian:\n%s", out)
	}
	top := t.TempDir()
	script := fmt.Sprintf(`set -ex
		mkdir -p %[1]s/tmpfs && mount -t tmpfs tmpfs %[1]s/tmpfs
		mkdir -p %[1]s/tmpfs/upper %[1]s/tmpfs/work %[1]s/root
		mount -t overlay overlay -o lowerdir=/,upperdir=%[1]s/tmpfs/upper,workdir=%[1]s/tmpfs/work %[1]s/root
		cp %[2]s %[1]s/root/tandem.deb
		exec chroot %[1]s/root sh -ex -c '
			export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
			dpkg -i /tandem.deb
			tandem version
			test "$(stat -c "%%U:%%G %%a" /etc/tandem /etc/tandem/tandem.yaml | tr "\n" " ")" = "root:tandem 750 root:tandem 640 "
			setpriv --reuid tandem --regid tandem --clear-groups tandem validate --config /etc/tandem/tandem.yaml
			man -w tandem tandem-serve tandem.yaml
			systemd-analyze verify --man=no tandem.service
			echo "# changed" >> /etc/tandem/tandem.yaml
			dpkg -i /tandem.deb
			grep -q "# changed" /etc/tandem/tandem.yaml
			dpkg -r tandem
			test -e /etc/tandem/tandem.yaml
			test ! -e /usr/bin/tandem
			dpkg -P tandem
			test ! -e /etc/tandem
			echo all is well'`, top, deb)
	if out := run(t, nil, "unshare", "--mount", "--propagation", "private", "sh", "-c", script); !strings.Contains(out, "all is well\n") {
		t.Errorf("%s", out)
	} else if !strings.Contains(out, "edit /etc/tandem/tandem.yaml, then run") {
		t.Errorf("it does not say what to do next:\n%s", out)
	}
}

// TestUnit: systemd takes the unit, and finds little in it that the service is exposed by.
func TestUnit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := os.ReadFile("systemd/tandem.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(dir, "tandem.service")
	if err := os.WriteFile(unit, bytes.ReplaceAll(text, []byte("/usr/bin/tandem"), []byte(tandem(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, nil, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit); strings.Contains(out, "tandem.service") {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	out := run(t, nil, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit)
	t.Log(strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
}

// systemCalls returns the names in sets of system calls as systemd knows them.
func systemCalls(t *testing.T, sets ...string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, line := range strings.Fields(regexp.MustCompile(`(?m)^.*#.*$`).ReplaceAllString(run(t, nil, "systemd-analyze", "syscall-filter", "--no-pager", sets[0]), "")) {
		if strings.HasPrefix(line, "@") && line != sets[0] {
			for name := range systemCalls(t, line) {
				names[name] = true
			}
			continue
		}
		names[line] = true
	}
	for _, other := range sets[1:] {
		for name := range systemCalls(t, other) {
			names[name] = true
		}
	}
	return names
}

// TestSystemCalls: what the proxy asks of the system from start to end, with a reload and an upgrade in place between, is
// what the unit lets it ask.
func TestSystemCalls(t *testing.T) {
	t.Parallel()
	program, dir := tandem(t), t.TempDir()
	file, trace := filepath.Join(dir, "tandem.yaml"), filepath.Join(dir, "trace")
	write(t, file, "listen: [udp://0.0.0.0:0, tcp://127.0.0.1:0]\nadmin: 127.0.0.1:0\ndomains: [{name: example.com}]\nroutes: [{to: sip:127.0.0.1:9}]\ntimers: {drain: 1s}\n")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	p := start(t, "strace", "-f", "-qq", "-E", "NOTIFY_SOCKET="+manager.LocalAddr().String(), "-o", trace, program, "serve", "--config", file)
	admin := p.until(t, `msg="admin API" on=`)
	p.until(t, "msg=serving")
	get(t, "http://"+admin+"/metrics")
	run(t, nil, program, "reload", "--admin", admin)
	p.upgrade(t, program, admin)
	run(t, nil, program, "drain", "--admin", admin)
	p.end(t)
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	allowed, refused := systemCalls(t, "@system-service"), systemCalls(t, "@privileged", "@resources")
	seen := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		m := regexp.MustCompile(`^\d+ +(\w+)\(`).FindStringSubmatch(line)
		if m == nil || seen[m[1]] && m[1] != "socket" && !strings.Contains(line, "PROT_WRITE|PROT_EXEC") {
			continue
		}
		seen[m[1]] = true
		if !allowed[m[1]] || refused[m[1]] {
			t.Errorf("SystemCallFilter refuses %s", strings.TrimSpace(line))
		}
		if strings.Contains(line, "PROT_WRITE|PROT_EXEC") {
			t.Errorf("MemoryDenyWriteExecute refuses %s", strings.TrimSpace(line))
		}
		if family := regexp.MustCompile(`^\d+ +socket\((\w+)`).FindStringSubmatch(line); family != nil && !slices.Contains([]string{"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}, family[1]) {
			t.Errorf("RestrictAddressFamilies refuses %s", strings.TrimSpace(line))
		}
	}
	if len(seen) < 20 || !seen["socket"] || !seen["socketpair"] || len(allowed) < 200 || len(refused) < 20 {
		t.Errorf("%d system calls were seen, %d are allowed", len(seen), len(allowed))
	}
}

// TestSandbox runs the proxy with what the unit allows it, as far as that can be had without systemd: another user, no
// capability but one, and nothing writable. An upgrade in place keeps it so.
func TestSandbox(t *testing.T) {
	t.Parallel()
	program := tandem(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "tandem.yaml")
	settings := "listen: [udp://127.0.0.1:0, tcp://127.0.0.1:0]\nadmin: 127.0.0.1:0\ndomains: [{name: example.com}]\nroutes: [{to: sip:127.0.0.1:9}]\ntimers: {drain: 1s}\n"
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	p := start(t, "unshare", "--mount", "sh", "-c", `mount -o remount,ro,bind / / 2> /dev/null || mount --bind / / && mount -o remount,ro,bind /
		exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service --bounding-set -all,+net_bind_service "$0" "$@"`,
		program, "serve", "--config", file)
	admin := p.until(t, `msg="admin API" on=`)
	if got := get(t, "http://"+admin+"/readyz"); !strings.Contains(got, "ok") {
		t.Error(got)
	}
	p.upgrade(t, program, admin)
	if got := get(t, "http://"+admin+"/readyz"); !strings.Contains(got, "ok") {
		t.Error(got)
	}
	run(t, nil, program, "drain", "--admin", admin)
}

// upgrade has another process take the place of a proxy, and waits for the end of the one before.
func (p *process) upgrade(t *testing.T, program, admin string) {
	t.Helper()
	run(t, nil, program, "upgrade", "--admin", admin)
	pid, err := strconv.Atoi(p.until(t, "this one ends what it has begun\" pid="))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	p.until(t, "the process before this one has ended")
}

// TestImage builds the image, with a toolchain from this machine in the place of the one that is fetched, and runs the
// program in it.
func TestImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	buildah := func(args ...string) string {
		t.Helper()
		return run(t, nil, "buildah", append([]string{
			"--storage-driver", "vfs", "--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run"),
		}, args...)...)
	}
	goenv := strings.Split(strings.TrimSpace(run(t, nil, "go", "env", "GOROOT", "GOMODCACHE", "GOCACHE")), "\n")
	toolchain := filepath.Join(dir, "toolchain")
	write(t, toolchain, "FROM scratch\nENV GOCACHE=/cache GOMODCACHE=/modules GOPROXY=off GOTOOLCHAIN=local HOME=/\nWORKDIR /tmp\n")
	empty := t.TempDir()
	buildah("bud", "-q", "-f", toolchain, "-t", "localhost/go", empty)
	buildah("bud", "-q", "--isolation", "chroot", "--pull-never", "--build-arg", "GO_IMAGE=localhost/go", "--build-arg", "VERSION=v1.2.3",
		"-v", goenv[0]+":/usr/local/go:ro", "-v", goenv[1]+":/modules:ro", "-v", goenv[2]+":/cache", "-t", "localhost/tandem", "..")
	name := strings.TrimSpace(buildah("from", "--pull-never", "localhost/tandem"))
	if out := buildah("run", "--isolation", "chroot", name, "--", "/tandem", "version"); !strings.HasPrefix(out, "tandem v1.2.3 ") {
		t.Error(out)
	}
	config := buildah("inspect", "--type", "image", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}", "localhost/tandem")
	if strings.TrimSpace(config) != "65532:65532 [/tandem] [serve --config /etc/tandem/tandem.yaml]" {
		t.Error(config)
	}
	root := strings.TrimSpace(buildah("mount", name))
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if !slices.Contains([]string{"dev", "proc", "sys", "etc", "run"}, e.Name()) { // which buildah makes
			files = append(files, e.Name())
		}
	}
	if !slices.Equal(files, []string{"tandem"}) {
		t.Errorf("the image has %v", files)
	}
	buildah("umount", name)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKubernetes: the manifests are as the API server's types have them, and the configurations in them are good.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	const manifests = "kubernetes/tandem.yaml"
	check := filepath.Join(t.TempDir(), "check")
	if out, err := exec.CommandContext(t.Context(), "go", "-C", "../.ci/deploy", "build", "-o", check, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run(t, nil, check, manifests)
	text, err := os.ReadFile(manifests)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	write(t, broken, strings.Replace(string(text), "readOnlyRootFilesystem", "readOnlyRootFileSystem", 1))
	if out, err := exec.CommandContext(t.Context(), check, broken).CombinedOutput(); err == nil {
		t.Errorf("a field that does not exist is taken: %s", out)
	}
	dir := t.TempDir()
	beside(t, dir, "tls/ca.crt", []string{"example.com", "tandem-0.example.com", "tandem-1.example.com"})
	for _, f := range [][2]string{{"example.com.pem", "tls/tls.crt"}, {"example.com.key", "tls/tls.key"}, {"dialog.key", "tls/dialog.key"}} {
		if err := os.Rename(filepath.Join(dir, f[0]), filepath.Join(dir, f[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		data, err := os.ReadFile(filepath.Join(dir, "tls", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "admin", name), string(data))
	}
	write(t, filepath.Join(dir, "admin/token"), strings.Repeat("0123456789abcdef", 4)+"\n")
	if err := os.Chmod(filepath.Join(dir, "admin/token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pod := range []string{"tandem-0", "tandem-1"} {
		_, rest, ok := strings.Cut(string(text), "  "+pod+".yaml: |\n")
		if !ok {
			t.Fatalf("no configuration for %s", pod)
		}
		var config strings.Builder
		for line := range strings.Lines(rest) {
			if !strings.HasPrefix(line, "    ") {
				break
			}
			config.WriteString(line[4:])
		}
		cfg := load(t, dir, pod, strings.ReplaceAll(config.String(), "/etc/tandem", dir))
		if cfg.Domains[0].SentBy != pod+".example.com" {
			t.Errorf("%s advertises %s", pod, cfg.Domains[0].SentBy)
		}
	}
}
