//! Commands run in the order asked for, however many there are, and recordings as often as asked.

import CShaders
import TestSupport
import Testing
import VulkanCompute

extension VulkanComputeTests {
    @Suite struct CommandStreamTests {
        private func parameters(_ x: DeviceBuffer, _ y: DeviceBuffer) -> thimble_copy {
            thimble_copy(x: x.address, y: y.address, count: UInt32(min(x.byteCount, y.byteCount) / 4))
        }

        /// Words that no other test has.
        private func pattern(_ count: Int, _ seed: UInt32) -> [UInt32] {
            (0..<UInt32(count)).map { ($0 &+ seed) &* 2_654_435_761 }
        }

        /// Transfers and dispatches, each reading what the one before wrote, over many submissions.
        @Test func aLongChainKeepsItsOrder() throws {
            let stream = try CommandStream(device)
            let pipeline = try copyPipeline(try PipelineCache(try device))
            let first = pattern(1000, 1)
            let source = try DeviceBuffer.host(device, first)
            let buffers = try (0..<3).map { _ in try DeviceBuffer(device, byteCount: 4000) }
            stream.copy(from: source, at: 0, to: buffers[0], at: 0, byteCount: 4000)
            for step in 0..<1500 {
                let (x, y) = (buffers[step % 3], buffers[(step + 1) % 3])
                if step % 5 < 2 {
                    stream.copy(from: x, at: 0, to: y, at: 0, byteCount: 4000)
                } else {
                    stream.dispatch(pipeline, parameters(x, y), groups: (3, 1, 1))
                }
                // Where the chain comes from is not where it is.
                stream.zero(x)
            }
            let target = try DeviceBuffer(device, byteCount: 4000, kind: .host)
            stream.copy(from: buffers[1500 % 3], at: 0, to: target, at: 0, byteCount: 4000)
            stream.publishToHost()
            try stream.wait()
            #expect(target.words == first)
        }

        /// Whatever the number of commands before, also where the last one filled a run.
        @Test func whatIsPublishedIsSeen() throws {
            let stream = try CommandStream(device)
            for count in 60...70 {
                let words = pattern(count, UInt32(count))
                let source = try DeviceBuffer.host(device, words)
                let target = try DeviceBuffer(device, byteCount: count * 4, kind: .host)
                stream.zero(target)
                for index in 0..<count {
                    stream.copy(from: source, at: index * 4, to: target, at: index * 4, byteCount: 4)
                }
                stream.publishToHost()
                try stream.wait()
                #expect(target.words == words)
            }
        }

        /// What commands use may be let go once they are asked for: queued, submitted, or in another stream.
        @Test func whatCommandsUseMayGo() throws {
            let (stream, other) = (try CommandStream(device), try CommandStream(device))
            let target = try DeviceBuffer(device, byteCount: 4000, kind: .host)
            for round in 0..<20 {
                let words = pattern(1000, UInt32(round))
                var x: DeviceBuffer? = try .host(device, words)
                var y: DeviceBuffer? = try DeviceBuffer(device, byteCount: 4000)
                var pipeline: ComputePipeline? = try copyPipeline(try PipelineCache(try device))
                other.zero(try DeviceBuffer(device, byteCount: 64))
                stream.dispatch(pipeline!, parameters(x!, y!), groups: (1, 1, 1))
                (x, pipeline) = (nil, nil)
                if round % 3 == 0 { try stream.submit() }
                if round % 3 == 1 { try other.wait() }
                stream.copy(from: y!, at: 0, to: target, at: 0, byteCount: 4000)
                y = nil
                // Would take the place of what is gone.
                stream.zero(try DeviceBuffer(device, byteCount: 4000))
                stream.publishToHost()
                try stream.wait()
                #expect(target.words == words)
            }
        }

        @Test func nothingToDoIsDone() throws {
            let stream = try CommandStream(device)
            try stream.wait()
            #expect(try stream.submit() == stream.submit())
            stream.publishToHost()
            try stream.wait()
        }

        @Test func earlierSubmissionsCanBeWaitedFor() throws {
            let stream = try CommandStream(device)
            let targets = try (0..<20).map { _ in try DeviceBuffer(device, byteCount: 256, kind: .host) }
            let submissions = try targets.enumerated().map { index, target in
                let source = try DeviceBuffer.host(device, pattern(64, UInt32(index)))
                stream.copy(from: source, at: 0, to: target, at: 0, byteCount: 256)
                stream.publishToHost()
                let submission = try stream.submit()
                // The source goes before the next.
                try stream.wait(for: submission)
                return submission
            }
            #expect(zip(submissions, submissions.dropFirst()).allSatisfy { $0 < $1 })
            for (index, (target, submission)) in zip(targets, submissions).enumerated().reversed() {
                try stream.wait(for: submission)
                #expect(target.words == pattern(64, UInt32(index)))
            }
        }

        /// A recording of a hundred commands, alone, many times in one submission, and among other commands.
        @Test func aRecordingRunsAsOftenAsAsked() throws {
            let stream = try CommandStream(device)
            let pipeline = try copyPipeline(try PipelineCache(try device))
            // A ring of words that a run turns by one: word i goes to i + 1.
            let count = 100
            let words = pattern(count, 3)
            let source = try DeviceBuffer.host(device, words)
            let (ring, spare) = (
                try DeviceBuffer(device, byteCount: count * 4), try DeviceBuffer(device, byteCount: count * 4)
            )
            stream.copy(from: source, at: 0, to: ring, at: 0, byteCount: count * 4)
            let turn = try stream.record {
                stream.dispatch(pipeline, parameters(ring, spare), groups: (1, 1, 1))
                for index in 0..<count {
                    stream.copy(
                        from: spare, at: index * 4, to: ring, at: (index + 1) % count * 4, byteCount: 4)
                }
            }
            let target = try DeviceBuffer(device, byteCount: count * 4, kind: .host)
            defer { withExtendedLifetime((ring, spare, pipeline)) {} }
            var turns = 0
            for times in [0, 1, 1, 64, 5, 30] {
                if times > 0 { try stream.run(turn, times: times) }
                turns += times
                stream.copy(from: ring, at: 0, to: target, at: 0, byteCount: count * 4)
                stream.publishToHost()
                try stream.wait()
                #expect(target.words == (0..<count).map { words[($0 - turns % count + count) % count] })
            }
        }

        /// Recordings are one after another, and each is whole.
        @Test func severalRecordingsLiveBesideEachOther() throws {
            let stream = try CommandStream(device)
            let target = try DeviceBuffer(device, byteCount: 40, kind: .host)
            let sources = try (0..<10).map { try DeviceBuffer.host(device, [UInt32($0)]) }
            let recordings = try sources.enumerated().map { index, source in
                try stream.record {
                    stream.copy(from: source, at: 0, to: target, at: index * 4, byteCount: 4)
                }
            }
            stream.zero(target)
            for recording in recordings.reversed() { try stream.run(recording) }
            stream.publishToHost()
            try stream.wait()
            withExtendedLifetime(sources) {}
            #expect(target.words == (0..<10).map { UInt32($0) })
        }

        @Test func momentsFollowEachOther() throws {
            let stream = try CommandStream(device)
            let times = try Timestamps(device, capacity: 4)
            let (x, y) = (
                try DeviceBuffer(device, byteCount: 8 << 20), try DeviceBuffer(device, byteCount: 8 << 20)
            )
            stream.zero(x)
            for _ in 0..<2 {
                times.reset(in: stream)
                times.mark(in: stream)
                // More commands than a run has, and more moments than there is room for.
                for _ in 0..<3 {
                    for _ in 0..<30 { stream.copy(from: x, at: 0, to: y, at: 0, byteCount: 8 << 20) }
                    times.mark(in: stream)
                }
                times.mark(in: stream)
                try stream.wait()
                let seconds = try times.seconds()
                #expect(seconds.count == 4 && seconds[0] == 0)
                // Thirty copies of 8 MB take no less than 10 microseconds on any device, and no minute.
                for (before, after) in zip(seconds, seconds.dropFirst()) {
                    #expect((1e-5...60).contains(after - before))
                }
            }
            times.reset(in: stream)
            try stream.wait()
            #expect(try times.seconds().isEmpty)
        }
    }
}
