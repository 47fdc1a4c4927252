"""The built-in probe: short general exchanges on which the parity of a bare base model is measured."""

from honed.data import Example, Message

_EXCHANGES = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("How many days does a week have?", "A week has seven days."),
    ("Write a polite sentence that declines a meeting.", "Thank you for the invitation, but I cannot attend."),
    ("Why is the sky blue?", "Air scatters blue light more strongly than red light, so the sky looks blue."),
    ("Translate 'good morning' into German.", "Guten Morgen."),
    ("What is 12 times 8?", "12 times 8 is 96."),
    ("Give me a title for a talk on bees.", "The Quiet Work of Bees"),
    ("Which planet is closest to the sun?", "Mercury is the planet closest to the sun."),
    ("Summarise: The train was late, so we missed the ferry.", "A late train made us miss the ferry."),
    ("Name three primary colours.", "Red, yellow and blue."),
    ("Write one line of Python that prints hello.", 'print("hello")'),
    ("What should I pack for a rainy hike?", "Pack a rain jacket, waterproof boots and dry socks."),
)

PROBE = tuple(Example((Message("user", question),), answer) for question, answer in _EXCHANGES)
