#!/usr/bin/env bash
# Install the Debian packages that tests need: system-packages.sh [FILE], by default packages.txt beside this script.
# As root: by apt. Otherwise: print what is missing.
set -eu
list=$(realpath "${1:-$(dirname "$0")/packages.txt}")
missing=()
while read -r package; do
  [ -z "$package" ] && continue
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < "$list"
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing Debian packages for the tests: ${missing[*]} ..."
  # Debian starts a service when it installs it. This policy forbids that: the tests start their own on free ports.
  policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; trap 'rm -f "$policy"' EXIT; }
  log=$(mktemp)
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 \
    || { cat "$log"; echo "apt-get could not install: ${missing[*]}"; exit 1; }
  rm -f "$log"
else
  echo "the tests need Debian packages that are not installed. Install them: sudo apt-get install ${missing[*]}"
  exit 1
fi
