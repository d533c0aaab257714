# Completion of tandem for bash. Put it into /usr/share/bash-completion/completions/tandem, or have your shell run
#   source <(tandem completion bash)
_tandem() {
	local line=${COMP_LINE:0:COMP_POINT} words cur kind word before=
	read -ra words <<< "$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	cur=${words[-1]}
	COMPREPLY=()
	{
		read -r kind
		while IFS=$'\t' read -r word _; do COMPREPLY+=("$word"); done
	} < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2> /dev/null)
	case $kind in file | directory)
		[[ $cur == --*=* ]] && before=${cur%%=*}=
		[ "$kind" = file ] && kind=-f || kind=-d
		compopt -o filenames 2> /dev/null
		while IFS= read -r word; do COMPREPLY+=("$before$word"); done < <(compgen "$kind" -- "${cur#"$before"}")
		;;
	esac
	[[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2> /dev/null
	# The shell takes words apart at = and : and has what stands before the last of these already.
	local done=${cur%"${cur##*[=:]}"} i
	if [[ -n $done && $COMP_WORDBREAKS == *[=:]* ]]; then
		for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$done"}; done
	fi
	return 0
}
complete -F _tandem tandem
