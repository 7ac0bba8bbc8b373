//! Holds stop strings: found across pieces, never shown in part, nothing lost when they do not come.

import Testing
@testable import Thimble

private func run(_ stops: [String], _ pieces: [String]) -> (shown: String, isStopped: Bool) {
    var matcher = StopMatcher(stops)
    var shown = ""
    for piece in pieces {
        let (text, isStopped) = matcher.push(piece)
        shown += text
        if isStopped { return (shown, true) }
    }
    return (shown + matcher.finish(), false)
}

@Test func aStopStringIsFoundAtEverySplit() {
    let text = "An answer. STOP and more"
    for first in 0...text.count {
        for second in first...text.count {
            let characters = Array(text)
            let pieces = [characters[..<first], characters[first..<second], characters[second...]].map {
                String($0)
            }
            let (shown, isStopped) = run(["STOP"], pieces)
            #expect(shown == "An answer. " && isStopped)
        }
    }
}

@Test func aPartialStopStringIsShownWhenItDoesNotComeTrue() {
    #expect(run(["<end>"], ["a<en", "d", "b"]) == ("a<endb", false))
    #expect(run(["<end>"], ["a<en"]) == ("a<en", false))
}

@Test func theEarliestOfSeveralStopsCounts() {
    #expect(run(["two", "one"], ["x one two"]) == ("x ", true))
}

@Test func overlappingPrefixesAreHeldBack() {
    #expect(run(["aab"], ["a", "a", "a", "b", "c"]) == ("a", true))
}

@Test func noStopsMeansNothingIsHeldBack() {
    var matcher = StopMatcher([""])
    #expect(matcher.push("text").text == "text")
}
