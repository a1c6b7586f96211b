# proof: sum_range
# breaks: region readable
# the tail of 4 bytes is read from 5 on
s/if (len - at >= 32; at += 32)/&/;s/    if (len \& 4) {/    if (len \& 7) {/
