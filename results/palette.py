"""The colours of all figures of results/ and docs/: the palette of Okabe and Ito (2008), which
colour-blind readers can distinguish.
"""
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, GREY, BLACK = "#E69F00", "#56B4E9", "#999999", "#000000"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)  # in the order in which to take them
