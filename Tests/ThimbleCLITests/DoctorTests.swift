//! `thimble doctor`: what it says of this machine, of a damaged model, of a budget that cannot hold.

import Foundation
import TestSupport
import Testing

private func doctor(_ arguments: String...) throws -> (run: ProgramRun, findings: [[String: Any]]) {
    let cache = try TemporaryDirectory()
    let run = try ProgramRun.Running(
        ["doctor", "--json"] + arguments, environment: ["XDG_CACHE_HOME": cache.url.path]
    ).finish()
    #expect(run.errors.isEmpty && run.output.count { $0 == "\n" } == 1, "\(run)")
    let object = try run.json()
    let findings = try #require(object["findings"] as? [[String: Any]])
    let fails = findings.contains { $0["verdict"] as? String == "fail" }
    #expect(object["passed"] as? Bool == !fails && run.status == (fails ? 1 : 0), "\(run)")
    for finding in findings {
        #expect((finding["mend"] == nil) == (finding["verdict"] as? String == "pass"), "\(finding)")
    }
    return (run, findings)
}

private func verdict(_ findings: [[String: Any]], _ check: String) -> String? {
    findings.first { $0["check"] as? String == check }?["verdict"] as? String
}

@Suite struct DoctorTests {
    @Test func aModelThatIsWholePasses() throws {
        let model = try TinyModel()
        let (run, findings) = try doctor(model.path)
        #expect(run.status == 0 && verdict(findings, "model") == "pass", "\(run)")
        #expect(findings.contains { ($0["message"] as? String)?.contains(model.path) == true })
    }

    @Test func aDamagedByteOfTheModelIsFound() throws {
        let model = try TinyModel()
        let folder = try TemporaryDirectory()
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: model.path)))
        // Of the weights, which opening a file does not read.
        bytes[bytes.count / 2] ^= 1
        let (run, findings) = try doctor(folder.write(bytes, to: "damaged.thimble"))
        #expect(run.status == 1 && verdict(findings, "model") == "fail", "\(run)")
    }

    @Test func aBudgetThatThisMachineCannotGiveIsFound() throws {
        let model = try TinyModel()
        #expect(try verdict(doctor(model.path, "--host-memory", "900TiB").findings, "memory") == "fail")
        #expect(try verdict(doctor(model.path, "--budget", "no-such-board").findings, "budget") == "fail")
    }

    @Test func aSpillFolderThatCannotBeIsFound() throws {
        let model = try TinyModel()
        let folder = try TemporaryDirectory()
        let budget = try folder.write("[spill]\nfolder = \"/proc/none\"\n".utf8, to: "budget.toml")
        let (run, findings) = try doctor(model.path, "--budget", budget)
        #expect(run.status == 1 && verdict(findings, "spill folder") == "fail", "\(run)")
    }

    @Test func everyLineOfTheTextBeginsWithItsVerdict() throws {
        let model = try TinyModel()
        let cache = try TemporaryDirectory()
        let run = try ProgramRun.of("doctor", model.path, environment: ["XDG_CACHE_HOME": cache.url.path])
        #expect(run.status == 0, "\(run)")
        for line in run.output.split(separator: "\n") {
            let isMend = line.hasPrefix("      ") && line.contains("mend: ")
            #expect(isMend || ["PASS  ", "WARN  "].contains { line.hasPrefix($0) }, "\(line)")
        }
        #expect(cache.contents.isEmpty, "nothing is changed")
    }
}
