/** The script for zsh. It can be sourced, and be a function on `fpath`. */
export const zshScript = `#compdef lockwarden
# zsh completion for lockwarden.

_lockwarden() {
    local -a answer candidates
    local reply directive

    # Words as they will be without their quotes. Nothing of them is evaluated.
    answer=("\${(@f)$(lockwarden complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
    directive=$answer[-1]

    # What belongs to --flag= comes without it.
    if [[ $PREFIX == -*=* ]]; then
        IPREFIX+=\${PREFIX%%=*}=
        PREFIX=\${PREFIX#*=}
    fi
    for reply in "\${(@)answer[1,-2]}"; do
        # A colon parts value and description, so those in the value are quoted.
        candidates+=("\${\${reply%%$'\\t'*}//:/\\\\:}\${\${(M)reply%%$'\\t'*}/$'\\t'/:}")
    done
    (( $#candidates == 0 )) || _describe -V lockwarden candidates
    # Where there is no lockwarden, files it is.
    [[ $directive == :4 ]] || _files
}

# Sourced, or called as the function that it is when zsh has loaded it from fpath.
if [[ $funcstack[1] == _lockwarden ]]; then
    _lockwarden "$@"
else
    compdef _lockwarden lockwarden
fi
`;
