"""What peers.py measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    model: str  # the option of peers.py that gives the model
    batch: int
    sequence: int  # tokens at once; for decoding those before
    decode: int = 0  # tokens one by one after that

    @property
    def tokens(self):
        """Tokens of one timed run."""
        return 1 if self.decode else self.batch * self.sequence


CASES = [
    Case("minilm-1x128", "minilm", 1, 128),
    Case("minilm-8x128", "minilm", 8, 128),
    Case("smollm2-prefill-1x128", "smollm2", 1, 128),
    Case("smollm2-prefill-1x512", "smollm2", 1, 512),
    Case("smollm2-decode-after-128", "smollm2", 1, 128, 32),
]
