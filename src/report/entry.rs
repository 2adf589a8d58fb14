//! Links, and the cells of tables.

use super::html::escape;

/// A link to another page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The link's text.
    pub text: String,
    /// Address of the page, relative to the page that contains the link.
    pub href: String,
}

impl Link {
    pub(super) fn html(&self) -> String {
        format!("<a href=\"{}\">{}</a>", escape(&self.href), escape(&self.text))
    }
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Text(String),
    Link(Link),
}

impl Entry {
    /// The text, as a link if there is a page for it.
    pub(super) fn linked(text: &str, href: Option<&String>) -> Self {
        let text = text.to_owned();
        match href {
            Some(href) => Self::Link(Link { text, href: href.clone() }),
            None => Self::Text(text),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Link(Link { text, .. }) => text,
        }
    }

    pub(super) fn html(&self) -> String {
        match self {
            Self::Text(text) => escape(text),
            Self::Link(link) => link.html(),
        }
    }
}

impl From<String> for Entry {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&Link>> for Entry {
    fn from(link: Option<&Link>) -> Self {
        link.map_or_else(|| Self::Text("-".to_owned()), |link| Self::Link(link.clone()))
    }
}
