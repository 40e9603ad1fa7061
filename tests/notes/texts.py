"""Texts that are easily changed on their way."""

ODD = 'line \u2028 paragraph \u2029 \x7f\x1f\t"\\/ é 漢 😀 <&>'
