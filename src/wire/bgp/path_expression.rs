//! The routers' dialect of regular expressions on printed paths, in which `_` stands for a delimiter. Here is what it
//! means, beside how a path is printed (`as_path`); what runs an expression is where it is used: filters compile one,
//! policies make an automaton of a set.

/// Longest expression taken; routers take a few dozen octets.
pub const EXPRESSION_LEN_MAX: usize = 1024;

/// Replaces each `_` outside brackets and not escaped by a group that matches a delimiter of a printed path.
pub fn expand_delimiters(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 32);
    let (mut escaped, mut in_class) = (false, false);
    for c in expression.chars() {
        match c {
            '_' if !escaped && !in_class => out.push_str(r"(?:^|$|[ ,{}()\[\]])"),
            _ => out.push(c),
        }
        in_class = !escaped && (c == '[' || (in_class && c != ']')) || (escaped && in_class);
        escaped = !escaped && c == '\\';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_or_an_escape_keeps_its_underscore() {
        assert_eq!(expand_delimiters("[_]"), "[_]");
        assert_eq!(expand_delimiters(r"\_"), r"\_");
        assert_eq!(expand_delimiters(r"[\]_]"), r"[\]_]");
        assert_eq!(expand_delimiters(r"\[_"), format!(r"\[{}", expand_delimiters("_")));
    }
}
