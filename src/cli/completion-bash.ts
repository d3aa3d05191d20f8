/** The script for bash. */
export const bashScript = `# bash completion for lockwarden. It needs no other package, such as bash-completion.

__lockwarden_complete() {
    local line=\${COMP_LINE:0:COMP_POINT} words=() kept=() word glued skip redirection out prefix typed reply i

    # Bash takes words apart at = and :, too. What no blank parts, up to the cursor, is one word.
    for (( i = 0; i <= COMP_CWORD; i++ )); do
        glued=
        [[ $i -gt 0 && $line != [[:space:]]* ]] && glued=yes
        line=\${line#"\${line%%[![:space:]]*}"}
        word=\${COMP_WORDS[i]}
        [[ $i -eq $COMP_CWORD && $word == "$line"* ]] && word=$line
        line=\${line#"$word"}
        if [[ -n $glued ]]; then
            words[\${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
    done

    # Redirections, with the files they name, are not lockwarden's.
    COMPREPLY=()
    skip=
    for word in "\${words[@]}"; do
        redirection=$skip
        skip=
        if [[ -z $redirection && $word =~ ^[0-9]*(\\&?\\>|\\<) ]]; then
            redirection=yes
            [[ $word == *[\\<\\>\\&\\|] ]] && skip=yes
        fi
        [[ -n $redirection ]] || kept+=("$word")
    done
    [[ -n $redirection ]] && return 0

    word=\${words[\${#words[@]}-1]}
    # Where there is no lockwarden, files it is.
    out=$(lockwarden complete -- "\${kept[@]:1}" 2>/dev/null) || true

    # What belongs to --flag= comes without it, and bash puts in only what it takes for the last word.
    prefix=
    [[ $word == -*=* ]] && prefix=\${word%%=*}=
    typed=\${word%"$2"}
    while IFS= read -r reply; do
        [[ -z $reply || $reply == :* ]] && continue
        reply=$prefix\${reply%%$'\\t'*}
        COMPREPLY+=("\${reply#"$typed"}")
    done <<< "$out"

    # Older ones have no compopt, and offer files.
    [[ \${out##*:} != 4 ]] || compopt +o default 2>/dev/null || true
    return 0
}

# Where there is no candidate, bash looks for files, unless it is told not to.
complete -o default -F __lockwarden_complete lockwarden
`;
