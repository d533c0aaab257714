// Package dashboard has the web page for operators: files that stand in the binary and are served as they are.
//
// The page talks to the admin API only, by itself and with nobody else. It is written by hand, as modules that browsers
// load, and is made of text nodes alone, so that nothing that a peer wrote is ever read as markup; Policy has the browser
// hold that.
package dashboard

import (
	"embed"
	"io/fs"
	"path"
)

// Policy is the Content-Security-Policy that the files are served with.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

//go:embed page
var page embed.FS

// File is one file of the page.
type File struct {
	Media string // its type, with the character set
	Data  []byte
}

// Files returns the files by the path that they are served under. The page itself is "/".
func Files() map[string]File {
	files := make(map[string]File)
	names, err := fs.Glob(page, "page/*")
	for _, name := range names {
		var data []byte
		if data, err = page.ReadFile(name); err != nil {
			break
		}
		at := "/" + name
		if name == "page/index.html" {
			at = "/"
		}
		files[at] = File{medium[path.Ext(name)], data}
	}
	if err != nil {
		panic("dashboard: " + err.Error()) // what is embedded can be read
	}
	return files
}

// medium is the media type of each kind of file. Those of the system may be other ones.
var medium = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}
