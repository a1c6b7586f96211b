# proof: udp_plan
# breaks: order of a key\|the longest\|once\|in the order
# a slot stays at the head of its key: it leaves twice
/tuo_udp_train tuoi_udp_cut/,/^}/s/\*head = last->next;/*head = slots[*head].next;/
