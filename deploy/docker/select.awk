# Prints the entries of a lock file, with their hashes, of the packages that a list names:
#   awk -f select.awk gateway.txt requirements.lock
# Both have lines that begin with name==version; an entry ends with the first line that no backslash continues.
NR == FNR { wanted[$1]; missing[$1]; next }
/^[a-z0-9]/ { chosen = $1 in wanted; delete missing[$1] }
chosen
END { for (name in missing) { print name " is in no lock" > "/dev/stderr"; exit 1 } }
