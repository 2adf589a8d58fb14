//! Loops that the compiler writes out, so that arrays of registers stay in registers.

/// `body` with each `i` below `n`, which is at most 21 and known when it is compiled.
macro_rules! unrolled {
    ($i:ident < $n:expr, $body:expr) => {
        $crate::unrolled::unrolled!(@ $i, $n, $body; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20)
    };
    (@ $i:ident, $n:expr, $body:expr; $($value:literal)*) => {
        $(if $value < $n {
            let $i: usize = $value;
            $body
        })*
    };
}

pub(crate) use unrolled;
