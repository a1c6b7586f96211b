# proof: gro_emit
# breaks: payload of
# the payload begins one byte early
s/iov\[i\].base = (const uint8_t \*)record->iov\[1\].base + hdr_len;/iov[i].base = (const uint8_t *)record->iov[1].base + hdr_len - 1;/
