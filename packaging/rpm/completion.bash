# bash completion for muttd: its commands and their options, as muttd itself tells them.
_muttd() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word command=
    case $previous in
    -c | --config | --answers | --data-dir | -o | --output)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* || -e $word ]] || { command=$word; break; }
    done
    local words
    words=$(muttd ${command:+"$command"} --help 2>/dev/null |
        grep -oE -- '(^|[ ,])--?[a-z][a-z-]*|^    [a-z]+|\{[a-z,]+\}' | tr -d ' {}' | tr ',' '\n')
    mapfile -t COMPREPLY < <(compgen -W "$words" -f -- "$current")
}
complete -F _muttd muttd
