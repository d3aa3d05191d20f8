/** The script for fish. */
export const fishScript = `# fish completion for lockwarden.

function __lockwarden_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -q word[1]; or set word ''
    set -l answer (lockwarden complete -- $words[2..-1] "$word" 2>/dev/null)

    # What belongs to --flag= comes without it, and fish wants the whole word.
    set -l prefix ''
    string match -q -- '-*=*' "$word"; and set prefix (string replace -r -- '=.*' '=' "$word")
    for reply in $answer
        string match -q -- ':*' "$reply"; or printf '%s\\n' "$prefix$reply"
    end
    # Where there is no lockwarden, files it is.
    test "$answer[-1]" = ':4'; and return
    for path in (__fish_complete_path (string replace -- "$prefix" '' "$word"))
        printf '%s\\n' "$prefix$path"
    end
end

complete -c lockwarden -f -a '(__lockwarden_complete)'
`;
