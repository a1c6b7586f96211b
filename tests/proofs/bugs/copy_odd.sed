# proof: sum_copy
# breaks: copy
# the last byte is not copied
s/if (dst) dst\[at\] = src\[at\];/(void)0;/
