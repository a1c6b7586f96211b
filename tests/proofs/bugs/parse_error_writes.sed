# proof: parse_public
# breaks: untouched
# the info is handed out on errors, too
s/if (result == TUO_OK) \*info = found;/*info = found;/
