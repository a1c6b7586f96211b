# proof: gro_join
# breaks: as many places as items\|earlier place
# the earlier place is given up
s/lower->first > upper->first ? lower->first : upper->first;/lower->first < upper->first ? lower->first : upper->first;/
