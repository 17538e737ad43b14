//! Text → [`Template`].

use super::{Encoding, Part, Place, Template};

pub(super) fn parse(text: &str) -> Result<Template, String> {
    let mut parser = Parser { rest: text, parts: Vec::new(), text: Vec::new() };
    while let Some(c) = parser.take() {
        match c {
            '%' => parser.place()?,
            '\\' => parser.escape()?,
            other => parser.text.extend(other.to_string().as_bytes()),
        }
    }
    parser.end_text();
    Ok(Template { parts: parser.parts })
}

struct Parser<'t> {
    rest: &'t str,
    parts: Vec<Part>,
    text: Vec<u8>,
}

impl Parser<'_> {
    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        }
    }

    fn place(&mut self) -> Result<(), String> {
        let place = match self.take() {
            Some('%') => {
                self.text.push(b'%');
                return Ok(());
            }
            Some('t') => Place::Topic,
            Some('p') => Place::Partition,
            Some('o') => Place::Offset,
            Some('k') => Place::Key,
            Some('v' | 's') => Place::Value,
            Some('h') => Place::Headers,
            Some('T' | 'd') => Place::Timestamp,
            Some('K') => Place::KeyLength,
            Some('V' | 'S') => Place::ValueLength,
            Some('H') => Place::HeaderCount,
            Some(other) => {
                return Err(format!("%{other} is not a place; write %% for a percent sign"));
            }
            None => return Err("the format ends in '%'; write %% for a percent sign".to_owned()),
        };
        self.end_text();
        let encoding = self.encoding(place)?;
        self.parts.push(Part::Place(place, encoding));
        Ok(())
    }

    fn encoding(&mut self, place: Place) -> Result<Encoding, String> {
        let Some(rest) = self.rest.strip_prefix('{') else { return Ok(Encoding::Plain) };
        let Some((word, rest)) = rest.split_once('}') else {
            return Err("a '{' behind a place has no '}'".to_owned());
        };
        self.rest = rest;
        let of_bytes = matches!(place, Place::Topic | Place::Key | Place::Value);
        match word {
            "hex" if of_bytes => Ok(Encoding::Hex),
            "base64" if of_bytes => Ok(Encoding::Base64),
            "json" if of_bytes || place == Place::Headers => Ok(Encoding::Json),
            "iso" if place == Place::Timestamp => Ok(Encoding::Iso),
            _ => Err(format!(
                "{{{word}}} does not fit here; hex, base64 and json fit bytes, iso fits %T"
            )),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let byte = match self.take() {
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('r') => b'\r',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => self.hex_byte()?,
            Some(other) => {
                return Err(format!("\\{other} is not an escape; write \\\\ for a backslash"));
            }
            None => return Err("the format ends in '\\'; write \\\\ for a backslash".to_owned()),
        };
        self.text.push(byte);
        Ok(())
    }

    fn hex_byte(&mut self) -> Result<u8, String> {
        let digits = self.rest.get(..2);
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let byte = byte.ok_or("\\x needs two hexadecimal digits")?;
        self.rest = &self.rest[2..];
        Ok(byte)
    }
}
