//! A number's digits put in the places of a template.

use super::number::{Part, Side, Template};
use super::time::ordinal_of;

/// A number on its way through a template.
pub(super) struct Writer<'a> {
    template: &'a Template,
    negative: bool,
    digits: Vec<u8>,
    /// Places before the digits.
    blank: usize,
    /// The next digit, and the next place.
    digit: usize,
    place: usize,
    /// The last digit that FM leaves: zeros after the point end before it.
    last: Option<usize>,
    sign_written: bool,
    bracket: bool,
    /// A digit has been written: groups are told apart from now on.
    inside: bool,
    text: String,
}

impl<'a> Writer<'a> {
    /// `digits` with a point where the template has places behind one; `blank` places before them.
    pub fn new(template: &'a Template, negative: bool, digits: Vec<u8>, blank: usize) -> Self {
        let mut last = None;
        if template.fill && template.has_point {
            last = digits.iter().position(|d| *d == b'.').map(|point| {
                let behind = digits.iter().enumerate().skip(point + 1);
                behind.filter(|(_, d)| **d != b'0').map(|(at, _)| at).last().unwrap_or(point)
            });
            if let Some(at) = &mut last
                && template.zero_end > blank
            {
                *at = (*at).max((digits.len() - 1).min(template.zero_end - blank));
            }
        }
        let given = template.plus || template.minus;
        let unsigned = !negative && template.fill && template.side.is_none();
        let sign_written = if given { !template.plus || template.minus } else { unsigned };
        Self {
            template,
            negative,
            blank,
            digit: 0,
            place: 0,
            last,
            sign_written,
            bracket: template.bracket && (negative || !template.fill),
            inside: false,
            text: String::new(),
            digits,
        }
    }

    /// The text.
    pub fn run(mut self) -> String {
        let fill = self.template.fill;
        for part in &self.template.parts {
            match part {
                Part::Digit { zero } => self.place(*zero),
                Part::Point => self.place(false),
                Part::Group if self.inside => self.text.push(','),
                Part::Group | Part::Currency if fill && *part == Part::Group => {}
                Part::Group | Part::Currency => self.text.push(' '),
                Part::Minus if self.negative => self.text.push('-'),
                Part::Plus if !self.negative => self.text.push('+'),
                Part::Minus | Part::Plus if fill => {}
                Part::Minus | Part::Plus => self.text.push(' '),
                Part::Sign => self.text.push(if self.negative { '-' } else { '+' }),
                Part::Ordinal { capital } => {
                    let number = !self.negative && self.digits.first() != Some(&b'#');
                    if number && !self.template.has_point {
                        let digits = String::from_utf8_lossy(&self.digits);
                        self.text.push_str(ordinal_of(&digits, *capital));
                    }
                }
                Part::Text(literal) => self.text.push_str(literal),
                Part::Roman { .. } | Part::Silent => {}
            }
        }
        self.text
    }

    /// Whether the point is what FM leaves last.
    fn ends_at_point(&self) -> bool {
        self.last.is_some_and(|at| self.digits.get(at) == Some(&b'.'))
    }

    /// Whether the zero before the point is not written: `.5` under 9.9.
    fn is_bare_zero(&self) -> bool {
        let t = self.template;
        t.zero_start.is_none()
            && self.digit == 0
            && self.digits.first() == Some(&b'0')
            && t.after > 0
    }

    fn sign(&mut self) {
        let t = self.template;
        let zero_here = t.zero_start == Some(self.place);
        let due = self.place >= self.blank || zero_here;
        if self.sign_written || !due || (self.is_bare_zero() && !self.ends_at_point()) {
            return;
        }
        match t.side {
            Some(Side::Before) => self.text.push(if self.negative { '-' } else { '+' }),
            Some(Side::After) => return,
            None if self.bracket => self.text.push(if self.negative { '<' } else { ' ' }),
            None if self.negative => self.text.push('-'),
            None if t.fill => {}
            None => self.text.push(' '),
        }
        self.sign_written = true;
    }

    /// A digit or the point.
    fn place(&mut self, zero: bool) {
        let t = self.template;
        self.inside = false;
        self.sign();
        let zeros = t.zero_start.is_some_and(|start| start <= self.place);
        if self.place < self.blank && !zeros {
            if !t.fill {
                self.text.push(' ');
            }
        } else if self.place < self.blank {
            self.text.push('0');
            self.inside = true;
        } else {
            self.next_digit(zero);
        }
        self.close();
        self.place += 1;
    }

    fn next_digit(&mut self, zero: bool) {
        let Some(digit) = self.digits.get(self.digit).copied() else { return };
        let beyond = self.last.is_some_and(|last| self.digit > last);
        if digit == b'.' {
            if !self.ends_at_point() || self.template.fill {
                self.text.push('.');
            }
        } else if beyond && !zero {
        } else if self.is_bare_zero() {
            match self.template.fill {
                false => self.text.push(' '),
                true if self.ends_at_point() => self.text.push('0'),
                true => {}
            }
        } else {
            self.text.push(char::from(digit));
            self.inside = true;
        }
        self.digit += 1;
    }

    /// What comes after the last place: a bracket, or a sign.
    fn close(&mut self) {
        let t = self.template;
        let unsigned = usize::from(!self.signed_at_start() && self.blank == 0);
        let count = t.after + t.before + t.shift + unsigned;
        let mut end = count + usize::from(self.blank > 0) + usize::from(t.has_point);
        if self.last.is_some() && self.last == Some(self.digit) {
            end = self.place + 1;
        }
        if self.place + 2 != end {
            return;
        }
        if self.sign_written && self.bracket {
            self.text.push(if self.negative { '>' } else { ' ' });
        } else if t.side == Some(Side::After) {
            self.text.push(if self.negative { '-' } else { '+' });
        }
    }

    /// Whether nothing was to be written for the sign from the start on.
    fn signed_at_start(&self) -> bool {
        let t = self.template;
        match t.plus || t.minus {
            true => !t.plus || t.minus,
            false => !self.negative && t.fill && t.side.is_none(),
        }
    }
}
