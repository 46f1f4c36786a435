//! [`evaluate`]: computes the arithmetic inside `{…}` and attribute values of a scene, with the names in
//! [`Bindings`], to a [`SceneValue`]. The painter of scenes (`painter.rs`) calls it.
//!
//! A scene must fit any width and height, so its coordinates are computed. The language is what a
//! drawing needs and no more: numbers, `'texts'`, names, `+ - * /`, comparisons (1 or 0), and the
//! functions of [`call`]. Angles are degrees. `rand(i, k)` is a hash, not a die: the same arguments
//! give the same number for ever, which keeps pictures reproducible.

use super::{SceneError, bounded};
use crate::noise::hash_unit;

/// What an expression yields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SceneValue {
    Number(f64),
    Text(String),
}

impl SceneValue {
    /// The number, or a fault naming the expression that should have been one.
    pub(crate) fn number(&self, source: &str) -> Result<f64, SceneError> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => {
                Err(SceneError::new(format!("`{source}` is the text {text:?}, not a number")))
            }
        }
    }

    /// How the value is written into SVG: at most two decimals, so that files stay small.
    pub(crate) fn written(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => {
                let rounded = (number * 100.0).round() / 100.0;
                // Else a small negative number would be written as `-0`.
                if rounded == 0.0 { "0".to_owned() } else { format!("{rounded}") }
            }
        }
    }
}

/// The names a scene may use; the latest binding of a name wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    bound: Vec<(String, SceneValue)>,
}

impl Bindings {
    pub(crate) fn bind(&mut self, name: &str, value: SceneValue) {
        self.bound.push((name.to_owned(), value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&SceneValue> {
        self.bound.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A mark to [`Bindings::forget_since`], which ends a scope.
    pub(crate) fn mark(&self) -> usize {
        self.bound.len()
    }

    pub(crate) fn forget_since(&mut self, mark: usize) {
        self.bound.truncate(mark);
    }
}

/// Computes one expression.
pub(crate) fn evaluate(source: &str, names: &Bindings) -> Result<SceneValue, SceneError> {
    let mut reader = ExpressionReader { source, rest: source, names, depth: 0 };
    let value = reader.comparison()?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return Err(reader.fault("stray text at the end"));
    }
    if let SceneValue::Number(number) = value {
        bounded(number, LARGEST, source)?;
    }
    Ok(value)
}

struct ExpressionReader<'a> {
    source: &'a str,
    rest: &'a str,
    names: &'a Bindings,
    /// Values within values; reading one takes a part of the stack.
    depth: usize,
}

impl ExpressionReader<'_> {
    fn fault(&self, what: &str) -> SceneError {
        let source: String = self.source.chars().take(200).collect();
        let rest: String = self.rest.chars().take(40).collect();
        SceneError::new(format!("{what} in the expression `{source}` before `{rest}`"))
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn comparison(&mut self) -> Result<SceneValue, SceneError> {
        let left = self.sum()?;
        for (token, holds) in COMPARISONS {
            if self.take(token) {
                let a = left.number(self.source)?;
                let b = self.sum()?.number(self.source)?;
                return Ok(SceneValue::Number(f64::from(u8::from(holds(a, b)))));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<SceneValue, SceneError> {
        let mut left = self.product()?;
        loop {
            let sign = if self.take("+") {
                1.0
            } else if self.take("-") {
                -1.0
            } else {
                return Ok(left);
            };
            let right = self.product()?.number(self.source)?;
            left = SceneValue::Number(left.number(self.source)? + sign * right);
        }
    }

    fn product(&mut self) -> Result<SceneValue, SceneError> {
        let mut left = self.factor()?;
        loop {
            let divides = if self.take("*") {
                false
            } else if self.take("/") {
                true
            } else {
                return Ok(left);
            };
            let right = self.factor()?.number(self.source)?;
            let a = left.number(self.source)?;
            // Divided by 0 it is infinite, which `evaluate` refuses as a result.
            left = SceneValue::Number(if divides { a / right } else { a * right });
        }
    }

    fn factor(&mut self) -> Result<SceneValue, SceneError> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(&format!("more than {MAX_DEPTH} levels of `(` and `-`")));
        }
        self.depth += 1;
        let value = self.value();
        self.depth -= 1;
        value
    }

    fn value(&mut self) -> Result<SceneValue, SceneError> {
        if self.take("-") {
            return Ok(SceneValue::Number(-self.factor()?.number(self.source)?));
        }
        if self.take("(") {
            let inner = self.comparison()?;
            return if self.take(")") { Ok(inner) } else { Err(self.fault("missing `)`")) };
        }
        if self.take("'") {
            let Some((text, rest)) = self.rest.split_once('\'') else {
                return Err(self.fault("missing closing quote"));
            };
            self.rest = rest;
            return Ok(SceneValue::Text(text.to_owned()));
        }
        self.skip_space();
        let word_end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(word_end);
        self.rest = rest;
        // `inf` and `nan` are read too; `evaluate` refuses them as a result.
        if let Ok(number) = word.parse::<f64>() {
            return Ok(SceneValue::Number(number));
        }
        if word.is_empty() {
            return Err(self.fault("a value is missing"));
        }
        if self.take("(") {
            let arguments = self.arguments()?;
            return call(word, &arguments, self.source);
        }
        self.names.get(word).cloned().ok_or_else(|| self.fault(&format!("unknown name `{word}`")))
    }

    fn arguments(&mut self) -> Result<Vec<SceneValue>, SceneError> {
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.comparison()?);
            if self.take(")") {
                return Ok(arguments);
            }
            if !self.take(",") {
                return Err(self.fault("missing `,` or `)`"));
            }
        }
    }
}

/// The functions of the language.
fn call(name: &str, arguments: &[SceneValue], source: &str) -> Result<SceneValue, SceneError> {
    if name == "pick" {
        return pick(arguments, source);
    }
    let numbers =
        arguments.iter().map(|value| value.number(source)).collect::<Result<Vec<_>, _>>()?;
    let number = match (name, numbers.as_slice()) {
        ("min", [a, b]) => a.min(*b),
        ("max", [a, b]) => a.max(*b),
        // `f64::clamp` panics where the limits are the wrong way round, and scenes come
        // from outside.
        ("clamp", [x, low, high]) => x.max(*low).min(*high),
        ("mix", [a, b, t]) => a + (b - a) * t,
        ("if", [test, yes, no]) => {
            if *test == 0.0 {
                *no
            } else {
                *yes
            }
        }
        ("mod", [a, b]) => a.rem_euclid(*b),
        ("floor", [x]) => x.floor(),
        ("round", [x]) => x.round(),
        ("ceil", [x]) => x.ceil(),
        ("abs", [x]) => x.abs(),
        ("sqrt", [x]) => x.sqrt(),
        ("sin", [x]) => x.to_radians().sin(),
        ("cos", [x]) => x.to_radians().cos(),
        ("atan", [y, x]) => y.atan2(*x).to_degrees(),
        // By way of 64 bits: straight to 32 all negative numbers would be 0.
        ("rand", [i]) => hash_unit(i.round() as i64 as u32, 0),
        ("rand", [i, k]) => hash_unit(i.round() as i64 as u32, k.round() as i64 as u32),
        _ => {
            return Err(SceneError::new(format!(
                "no function {name} of {} numbers in `{source}`",
                numbers.len()
            )));
        }
    };
    Ok(SceneValue::Number(number))
}

/// `pick(i, a, b, c)`: the choices in turn, round and round.
fn pick(arguments: &[SceneValue], source: &str) -> Result<SceneValue, SceneError> {
    let [index, choices @ ..] = arguments else {
        return Err(SceneError::new(format!("pick needs an index in `{source}`")));
    };
    if choices.is_empty() {
        return Err(SceneError::new(format!("pick needs choices in `{source}`")));
    }
    let index = index.number(source)?.floor().rem_euclid(choices.len() as f64);
    Ok(choices[index as usize].clone())
}

/// The largest number of a scene. A contact sheet, the largest that is drawn, has some 20,000 rows.
const LARGEST: f64 = 100_000.0;

/// Levels of brackets, functions and signs.
const MAX_DEPTH: usize = 40;

type Comparison = (&'static str, fn(f64, f64) -> bool);

/// Longest tokens first: `<=` must not be read as `<`.
const COMPARISONS: [Comparison; 5] = [
    ("<=", |a, b| a <= b),
    (">=", |a, b| a >= b),
    // Computed decimals seldom meet exactly.
    ("==", |a, b| (a - b).abs() < 1e-9),
    ("<", |a, b| a < b),
    (">", |a, b| a > b),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn number(source: &str) -> f64 {
        let mut names = Bindings::default();
        names.bind("w", SceneValue::Number(800.0));
        evaluate(source, &names).unwrap().number(source).unwrap()
    }

    #[test]
    fn arithmetic_binds_as_in_school() {
        assert!((number("1 + 2*3 - 8/4") - 5.0).abs() < 1e-9);
        assert!((number("-(w - 100) / 7") + 100.0).abs() < 1e-9);
        assert!((number("clamp(w, 0, 10) + if(w > 3, 1, 2)") - 11.0).abs() < 1e-9);
    }

    #[test]
    fn texts_are_picked_in_turn() {
        let value = evaluate("pick(4, '#a', '#b', '#c')", &Bindings::default()).unwrap();
        assert_eq!(value, SceneValue::Text("#b".to_owned()));
    }

    #[test]
    fn faults_name_the_expression() {
        let fault = evaluate("1 + nowhere", &Bindings::default()).unwrap_err();
        assert!(fault.to_string().contains("nowhere"), "{fault}");
        assert!(evaluate("(1", &Bindings::default()).is_err());
        assert!(evaluate("", &Bindings::default()).is_err());
        assert!(evaluate("1 2", &Bindings::default()).is_err());
    }
}
