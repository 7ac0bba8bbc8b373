//! Running English prose from templates and word lists, with no digit in it.

/// Writes sentences about a small harbour town; every sentence is drawn anew.
struct Prose {
    private var previousTemplate = -1

    /// Sentences whose lengths, with a space behind each, come close to `characters` and do not exceed it.
    mutating func sentences(characters: Int, _ generator: inout SeededGenerator) -> [String] {
        var sentences: [String] = []
        var room = characters
        var refused = 0
        // Near the end a sentence may be too long for what is left: a few more are drawn before that is it.
        while refused < 12 {
            let sentence = nextSentence(&generator)
            if sentence.count < room {
                sentences.append(sentence)
                room -= sentence.count + 1
            } else {
                refused += 1
            }
        }
        return sentences
    }

    private mutating func nextSentence(_ generator: inout SeededGenerator) -> String {
        var template = generator.integer(below: Self.templates.count)
        if template == previousTemplate { template = (template + 1) % Self.templates.count }
        previousTemplate = template
        return Self.filled(Self.templates[template], &generator)
    }

    /// The template with each `{list}` replaced by an entry of that list, and its first letter in upper case.
    private static func filled(_ template: String, _ generator: inout SeededGenerator) -> String {
        var text = ""
        var rest = template[...]
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            text += rest[..<open]
            let name = String(rest[rest.index(after: open)..<close])
            guard let list = lists[name] else { preconditionFailure("no word list is called \(name)") }
            text += generator.element(of: list)
            rest = rest[rest.index(after: close)...]
        }
        text += rest
        return text.prefix(1).uppercased() + text.dropFirst()
    }
}

extension Prose {
    private static let templates = [
        "{time}, {person} {did} {thing} {place}.",
        "{time} the {noun} by {landmark} looked {quality}, and {person} told everyone who would listen.",
        "Nobody {place} could remember when {landmark} had last been {quality}.",
        "{person} {did} {thing}, though {person} had asked for something else.",
        "It was {person} who first noticed that {landmark} was {quality} in such weather.",
        "\"{remark},\" said {person}, and went back to {task}.",
        "There is a {adjective} {noun} {place}, and it belongs to {person}.",
        "When the {weather} came over {landmark}, {person} stopped {task} and looked up.",
        "{person} kept a {adjective} {noun} in the shed, next to {thing}.",
        "For most of the {season}, {person} spent the mornings {task} and the evenings {task}.",
        "The {adjective} {noun} that stood {place} was sold to {person} for less than it was worth.",
        "{time}, before the {weather} set in, they carried {thing} {place}.",
        "Few visitors ask about {landmark}; those who do are sent to {person}.",
        "{person} had a way of {task} that made {person} laugh.",
        "If the {noun} is {quality}, {person} used to say, the {weather} is not far off.",
        "{thing} went missing {time}, and was found {place} by {person}.",
        "The road past {landmark} is {quality} in {season}, so the carrier leaves {thing} {place}.",
        "Between {landmark} and the old {noun} there is room for one cart and no argument.",
        "{person} wrote a long letter about {thing}, which {person} never answered.",
        "What {person} liked best about the {season} was {task} {place}.",
        "\"{remark},\" {person} repeated, more slowly, as if the {noun} might reply.",
        "After {task}, {person} felt {quality} and slept through the {weather}.",
        "They say the {noun} came from across the water; {person} says it came from {landmark}.",
        "A {adjective} {noun} and a {adjective} {noun} were all that was left {place}.",
        "{person} learned {task} from {person}, who had it from a sailor.",
        "{time} somebody rang the bell at {landmark}, and {person} came running with {thing}.",
        "Whoever wants {thing} must first ask {person}, and whoever asks must bring a {noun}.",
        "Not even the {weather} could keep {person} from {task}.",
        "The children {place} call it the {adjective} {noun}, but on the map it has no name.",
        "In {season} the light falls on {landmark} until late, and {person} sits there {task}.",
        "{person} {did} {thing}; {person} {did} the {adjective} {noun}; and so the day went by.",
        "Once a year {landmark} is swept, painted and filled with people who are tired of {task}.",
    ]

    private static let lists = [
        "person": people, "did": deeds, "thing": things, "place": places, "time": times, "noun": nouns,
        "landmark": landmarks, "quality": qualities, "remark": remarks, "task": tasks,
        "adjective": adjectives,
        "weather": weathers, "season": seasons,
    ]

    private static let people = [
        "the harbour master", "old Marten", "Ilse", "the baker's daughter", "a retired surveyor", "Mr Pell",
        "the ferryman", "my aunt", "the new teacher", "Jonas", "a woman from the mill", "the lamp keeper",
        "the youngest of the brothers", "Henrike", "the postman", "our neighbour", "Doctor Varga",
        "the clerk",
        "a boy with a blue cap", "the widow Brandt", "the clockmaker", "somebody from the council", "Tamsin",
        "the gardener", "a fiddler on his way north", "the cook", "Captain Orr", "the apprentice",
    ]
    private static let deeds = [
        "repaired", "counted", "borrowed", "painted", "forgot", "weighed", "described", "sold", "hid",
        "polished",
        "carried away", "traded", "examined", "gave back", "looked after", "wrapped up", "drew", "dropped",
        "paid for", "took apart", "kept an eye on", "brought home", "asked about", "admired",
    ]
    private static let things = [
        "a crate of pears", "the spare anchor", "two coils of rope", "a box of brass screws", "the ledger",
        "a sack of flour", "the broken weather vane", "a set of old charts", "the church keys",
        "a pair of oars",
        "the long ladder", "a basket of eggs", "the red curtain", "a tin of varnish", "a jar of honey",
        "the music stand", "three planks of ash", "the pump handle", "a bundle of letters", "a copper pan",
        "the second-best saddle", "a wheel without a cart", "the school globe", "a roll of sailcloth",
    ]
    private static let places = [
        "behind the market hall", "on the upper quay", "under the lime trees", "near the sluice",
        "in the back room",
        "at the end of the pier", "beside the smithy", "along the garden wall", "above the boathouse",
        "in front of the chapel", "by the second bridge", "down at the slipway", "on the common",
        "between the two wells", "at the foot of the hill", "inside the old customs shed",
        "across from the inn",
        "out on the flats",
    ]
    private static let times = [
        "early in the morning", "one quiet afternoon", "on the last day of the fair", "shortly before noon",
        "towards evening", "late in the year", "on a Thursday", "the next day", "after the third bell",
        "while the tide was out", "just as the lamps were lit", "some weeks later", "before anyone was awake",
        "during the long rain", "on the way back", "at first light", "that same night", "years ago",
    ]
    private static let nouns = [
        "lantern", "fence", "barge", "orchard", "chimney", "rowing boat", "signpost", "stove", "bench",
        "drum",
        "cellar", "windmill", "telescope", "gate", "kettle", "loom", "footbridge", "barrel", "notebook",
        "mirror",
        "staircase", "anvil", "carpet", "hedge", "clock", "cupboard", "kite", "raft", "doorbell", "haystack",
        "portrait", "wagon", "greenhouse", "compass", "piano", "tablecloth",
    ]
    private static let landmarks = [
        "the lighthouse", "the north gate", "the granary", "the ropewalk", "the fountain",
        "the weighing house",
        "the ruined tower", "the glassworks", "the ferry landing", "the schoolhouse", "the stone bridge",
        "the dry dock", "the town hall", "the observatory", "the bakery", "the lower lock", "the tannery",
        "the sea wall",
    ]
    private static let qualities = [
        "empty", "crooked", "bright", "quiet", "much smaller than before", "freshly washed", "out of place",
        "almost new", "warm to the touch", "deserted", "cheerful", "heavier than it should be",
        "hard to find",
        "unusually clean", "open to everyone", "a little sad", "impassable", "half asleep", "well kept",
        "too narrow",
    ]
    private static let remarks = [
        "It will hold for another winter", "You may keep the change", "That was not here yesterday",
        "Someone ought to write this down", "I would rather walk", "There is more where that came from",
        "The wind will turn by supper", "Nothing good comes of hurrying", "We shall need a longer rope",
        "He never could tell left from right", "It sounds better from a distance", "Leave it where it is",
        "My grandmother had one just like it", "Count them again", "This is the wrong key",
        "They always come back in spring", "Perhaps it was only the cat", "Ask me tomorrow",
    ]
    private static let tasks = [
        "mending nets", "sorting buttons", "reading aloud", "sharpening knives", "feeding the geese",
        "copying the tide tables", "baking rye bread", "tuning the piano", "sweeping the yard",
        "painting shutters",
        "telling stories", "planting beans", "splicing rope", "looking for driftwood", "stacking firewood",
        "drawing maps", "polishing spoons", "watching the boats", "learning the names of birds",
        "winding clocks",
        "picking plums", "cleaning lamps",
    ]
    private static let adjectives = [
        "narrow", "green", "forgotten", "sturdy", "painted", "rusty", "curious", "tall", "borrowed", "wooden",
        "famous", "battered", "foreign", "silent", "round", "handsome", "patched", "tiny", "leaning",
        "yellow",
        "solid", "unfinished", "polished", "faded", "heavy", "ordinary", "stubborn", "elegant",
    ]
    private static let weathers = [
        "fog", "hail", "north wind", "drizzle", "first snow", "storm", "sea mist", "thunder", "frost", "heat",
        "evening breeze", "spring tide",
    ]
    private static let seasons = [
        "spring", "summer", "autumn", "winter", "harvest season", "fishing season",
    ]

    /// Words that keys are made of.
    static let keyWords = [
        "acorn", "amber", "anchor", "apple", "arrow", "badge", "bamboo", "barley", "basket", "beacon",
        "birch",
        "blanket", "bottle", "branch", "bronze", "bucket", "butter", "button", "cabin", "candle", "canvas",
        "cedar",
        "chalk", "cherry", "clover", "copper", "coral", "cotton", "cricket", "crystal", "dagger", "daisy",
        "desert",
        "dolphin", "dragon", "eagle", "ember", "falcon", "feather", "fiddle", "flint", "forest", "fossil",
        "galaxy",
        "garden", "ginger", "glacier", "goblet", "granite", "hammer", "harvest", "hazel", "helmet", "heron",
        "indigo", "island", "ivory", "jacket", "jasmine", "jungle", "kettle", "ladder", "lagoon", "lemon",
        "lily",
        "linen", "magnet", "maple", "marble", "meadow", "mirror", "monsoon", "nectar", "nutmeg", "oasis",
        "olive",
        "orbit", "otter", "paper", "pebble", "pepper", "pillar", "planet", "pocket", "quartz", "quill",
        "rabbit",
        "ribbon", "river", "saddle", "saffron", "salmon", "shadow", "silver", "sparrow", "spruce", "thistle",
        "timber", "tulip", "tunnel", "velvet", "violet", "walnut", "whistle", "willow", "window", "winter",
        "zephyr",
    ]
}
