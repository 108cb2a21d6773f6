//! What the scheduler needs of whatever computes a model: the seam between deciding and computing.

/// Pages of keys and values hold this many tokens.
pub(crate) use magpie_kernels::PAGE_TOKENS;

/// A loaded model on one device, with its memory for keys and values. The scheduler owns it and decides which page
/// belongs to whom; the network only reads and writes the pages that a batch names.
pub(crate) trait Network: Send {
    fn limits(&self) -> NetworkLimits;

    /// Computes one ragged batch: stores the keys and values of all its rows and writes the logits of the rows that
    /// want them, in order, `vocabulary` values each. A row's result depends on its own sequence alone, bit by bit.
    ///
    /// # Errors
    /// The device failed; what the batch's pages hold for its rows is then unspecified, everything else is untouched.
    fn step(&mut self, batch: &Batch<'_>, logits: &mut Vec<f32>) -> Result<(), NetworkError>;

    /// Copies a whole page.
    fn copy_page(&mut self, from: PageId, to: PageId);
}

pub(crate) type PageId = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetworkLimits {
    /// Logits per row.
    pub vocabulary: usize,
    /// Longest sequence, answer included.
    pub context_tokens: usize,
    /// Pages for all sequences together.
    pub pages: usize,
    pub page_bytes: usize,
}

/// One step's work.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    /// The token of each row, chunk after chunk.
    pub tokens: Vec<u32>,
    pub chunks: Vec<Chunk<'a>>,
}

impl Batch<'_> {
    /// Refuses what would read or write beside a network's memory: a fault of the caller, which must not end the process.
    ///
    /// # Errors
    /// Rows, tokens or pages do not fit each other or the limits.
    pub(crate) fn check(&self, limits: &NetworkLimits) -> Result<(), NetworkError> {
        let fault = |what: String| Err(NetworkError { what, source: None });
        let rows: usize = self.chunks.iter().map(|chunk| chunk.rows).sum();
        if rows != self.tokens.len() {
            return fault(format!("a batch has {} tokens for {rows} rows", self.tokens.len()));
        }
        let vocabulary = limits.vocabulary;
        if let Some(token) = self.tokens.iter().find(|token| **token as usize >= vocabulary) {
            return fault(format!("the token {token} is not one of the model's {vocabulary}"));
        }
        for chunk in &self.chunks {
            let end = chunk.position + chunk.rows;
            if end > chunk.pages.len() * PAGE_TOKENS {
                return fault(format!("{} pages can't hold {end} tokens", chunk.pages.len()));
            }
            if let Some(page) = chunk.pages.iter().find(|page| **page as usize >= limits.pages) {
                return fault(format!("there is no page {page}"));
            }
        }
        Ok(())
    }
}

/// Neighbouring tokens of one sequence. Everything before `position` is in its pages already.
#[derive(Debug, Clone)]
pub(crate) struct Chunk<'a> {
    /// All pages of the sequence in order, those of these rows included.
    pub pages: &'a [PageId],
    pub position: usize,
    pub rows: usize,
    pub logits: Wanted,
}

/// Which rows of a chunk need logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nothing,
    Last,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare every row; answers need the last one only"))]
    All,
}

#[derive(Debug, thiserror::Error)]
#[error("the model could not be computed: {what}")]
pub(crate) struct NetworkError {
    pub what: String,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
