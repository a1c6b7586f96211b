# proof: parse_huge
# breaks: 2 GiB\|dereference
# lengths are cut to 32 bits without a look
s/if (bytes_len > 0x7FFFFFFFu) return TUO_E_INVALID;//
