//! Flags that say what is told beside the answer.

import ArgumentParser

struct ReportFlags: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "Print counts, speed and memory to standard error.")
    var stats: Bool?

    @Flag(help: "Print one JSON object with the answer and its figures instead of text.")
    var json = false
}
