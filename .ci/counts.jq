# From the events of go test -json: how many tests passed and failed, subtests included. A package that
# failed without a failed test, as one that does not build, is one failure.
def ended(a): map(select(.Action == a and .Test != null)) | length;
(map(select(.Package != null)) | group_by(.Package) | map(
	ended("fail") as $f | [ended("pass"), (if $f == 0 and any(.[]; .Action == "fail") then 1 else $f end)])) as $all
| "\($all | map(.[0]) | add // 0) \($all | map(.[1]) | add // 0)"
