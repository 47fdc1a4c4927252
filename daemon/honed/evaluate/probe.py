"""The built-in probes: short exchanges on which the parity of a bare base model is measured, and general text on which
forgetting is."""

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

_PASSAGES = """\
The river rises in the hills behind the town, turns twice around the old mill and reaches the sea after forty
kilometres. In spring it floods the meadows, and the farmers move their sheep to higher ground.

Water boils at a lower temperature on a mountain than at the coast, because the air presses less on its surface. Beans
therefore take longer to cook there, although the water bubbles sooner.

To change a tyre, loosen the nuts before you lift the car. Once the wheel is off the ground it turns with the spanner,
and the nuts will not come free.

She had kept every letter he ever wrote, tied with string, in a biscuit tin under the stairs. When the house was sold,
the new owners found it and sent it to the only address that could still be read.

A budget is a list of decisions. What is left out of it has been decided as well, only without anybody having to say
so.

The committee met on Tuesday and agreed to repair the bridge before the winter. The cost will be shared by both
villages, and the work is expected to take six weeks.

Bees tell each other where to find flowers by dancing. The angle of the dance gives the direction from the sun, and
its length gives the distance.

Cut the onions fine and let them turn golden in butter over a low flame. Add the rice, stir until it shines, then pour
in the stock one ladle at a time.

In 1869 a chemist arranged the known elements by weight and saw that their properties repeated. He left gaps in his
table for elements that nobody had found yet, and three of them were found within twenty years.

The patient has had a dry cough for ten days and no fever. Her lungs are clear, her pulse is regular, and she does not
smoke. She was advised to rest and to come back if it does not get better within a week.

Prices rose by two per cent over the year, mostly because of food and rent. Fuel became cheaper, and wages grew a
little faster than prices did.

If a number can be divided by both two and three, it can be divided by six. The opposite holds as well: whatever six
divides, two and three divide too.

Der Zug nach Hamburg hat heute zwanzig Minuten Verspätung. Reisende in Richtung Bremen steigen bitte am selben
Bahnsteig gegenüber ein.

Le marché ouvre à sept heures. On y trouve des pommes, du fromage, du pain encore chaud et, le samedi, un vieil homme
qui répare les montres.

Dear Sir or Madam, I ordered a lamp on the third of May and have received two. I should like to return one of them and
ask you to tell me how. Yours faithfully, A. Brown

To print the numbers from one to ten in Python, write: for number in range(1, 11): print(number). The second bound is
not included.
"""

GENERAL_TEXT = tuple(Example((), " ".join(passage.split())) for passage in _PASSAGES.split("\n\n"))
