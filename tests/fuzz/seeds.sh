# SPDX-License-Identifier: MIT
# Read by the scripts beside it: files and folders to start TARGET from. DATA is tests/data, CORPUS a
# folder with a further corpus per target, if there is one.
seeds_of() { # TARGET DATA [CORPUS]
    for folder in ${3:+"$3/$1"} "$2/corpus/$1"; do
        if [ -d "$folder" ]; then echo "$folder"; fi
    done
    case $1 in
        weights | open) echo "$2/corpus/weights $2/models $2/cascades" ;;
        cascade) echo "$2/cascades" ;;
        header | pipeline) echo "$2/corpus/image" ;;
    esac
}
