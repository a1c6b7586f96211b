# proof: gro_leave
# breaks: in sequence order\|outside object bounds
# an item in front of the list is not the first to leave
/^static void tuoi_list_add/,/^}/s/items\[list\].leaves = added;/;/
