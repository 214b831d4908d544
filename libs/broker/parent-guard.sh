#!/bin/sh
# Ends a broker when its owner is gone: waits until the pipe on standard input closes, which it does however the owner ends.
# $1 pid of the broker, $2 its start time, $3 seconds of grace before SIGKILL, $4 directory to remove afterwards, or empty.
# The word "done" on the pipe means that the broker has ended in order. Started by parent-guard.ts.

# Written here a second time (see process-identity.ts), because this runs when Node is gone. A number alone may be another process by now.
started() {
  if [ -r "/proc/$1/stat" ]; then
    IFS= read -r line < "/proc/$1/stat" || return 0
    set -f; set -- ${line##*) }; set +f
    case $1 in Z|X) return 0 ;; esac
    echo "${20}"
  elif [ ! -d /proc/self ]; then
    ps -o lstart= -p "$1" 2>/dev/null | sed 's/^ *//;s/ *$//'
  fi
}
alive() { [ "$(started "$1")" = "$2" ]; }
IFS= read -r word && [ "$word" = done ] && exit 0
if alive "$1" "$2"; then
  kill -CONT "$1" 2>/dev/null
  if [ "$3" -gt 0 ]; then
    kill -TERM "$1" 2>/dev/null
    left=$(($3 * 10))
    while [ "$left" -gt 0 ] && alive "$1" "$2"; do sleep 0.1 || sleep 1; left=$((left - 1)); done
  fi
  alive "$1" "$2" && kill -KILL "$1" 2>/dev/null
fi
if [ -n "$4" ]; then
  left=50
  while [ "$left" -gt 0 ] && alive "$1" "$2"; do sleep 0.1 || sleep 1; left=$((left - 1)); done
  rm -rf -- "$4"
fi
