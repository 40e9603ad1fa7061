#!/bin/sh
# Make compose.env, the settings of compose.yaml with a new key, unless it is there already.
set -eu
cd "$(dirname "$0")/.."
file=compose.env

leave() {
    echo "$file is there already, and stays as it is."
    exit 0
}

[ -e "$file" ] && leave
umask 077
draft=$(mktemp "$file.XXXXXX")
trap 'rm -f "$draft"' EXIT
cat > "$draft" <<SETTINGS
# The settings of CloudNotes in compose: any name of .env.example, one a line, without quotes.
# Keep this file: with another SECRET_KEY everybody is logged out, and second factors are lost.
SECRET_KEY=$(head -c 48 /dev/urandom | base64 | tr -d '\n')
PUBLIC_BASE_URL=http://127.0.0.1:8000
DATABASE_URL=postgres://cloudnotes:cloudnotes@database:5432/cloudnotes
REDIS_URL=redis://cache:6379/0
SETTINGS
# A link does not replace a file: of two that run at once, one makes the key for both.
ln "$draft" "$file" 2> /dev/null || leave
echo "$file is made. Start CloudNotes by: docker compose up"
