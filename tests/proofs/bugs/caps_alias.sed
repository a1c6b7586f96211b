# proof: tx_intersect_alias
# breaks: may be a
# the result is written while it is made
/^TUO_API tuo_result tuo_caps_intersect/,/^}/{s/^    c = \*a;/    c = *a; both->max_tcp4 = b->max_tcp6;/;}
