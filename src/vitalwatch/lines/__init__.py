"""Lines to beat: the simple answers that every figure of ours stands beside.

`detection` scores rows, `forecast` and `expected` guess heart rates; none of them looks ahead.
"""
