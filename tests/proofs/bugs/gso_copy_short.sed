# proof: gso_header
# breaks: every byte
# the last bytes of a header are not copied
/tuoi_copy_header(uint8_t/,/^}/s/TUO_MEMCPY(dst + len - 16, src + len - 16, 16);//
