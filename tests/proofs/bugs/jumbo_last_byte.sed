# proof: parse_jumbo
# breaks: object bounds\|outside
# the length of an option behind the last byte
s/at + 1 == end ? 2u : 2u + ip\[at + 1\]/2u + ip[at + 1]/
