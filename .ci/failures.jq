# From the events of go test -json: what did not build, what failed tests printed, and a line a package.
def outputs: map(select(.Action == "output") | .Output) | add // "";
(map(select(.Action == "build-output") | .Output) | add // empty),
(group_by([.Package, .Test])[] | select(.[0].Test != null and any(.[]; .Action == "fail")) | outputs),
(group_by(.Package)[] | select(.[0].Package != null) |
	if any(.[]; .Action == "fail") then map(select(.Test == null)) | outputs
	else map(select(.Test == null and .Action == "output") | .Output | select(test("^ok"))) | add // empty end)
| rtrimstr("\n")
