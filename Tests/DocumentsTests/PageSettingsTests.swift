//! The settings' JSON: Glyph's keys, refusal of others, and limits.

import Foundation
import Testing

@testable import Documents

@Suite struct PageSettingsTests {
    /// The keys and values of Glyph's English configuration.
    static let english = ##"""
        {"page-size": "595,842", "dpi": 72, "margin-x": 10, "margin-y": 10,
         "font-path": "../config/Verdana.ttf",
         "font-size": 9, "line-height": 10, "font-color": "#000000", "alignment": "LEFT",
         "horizontal-scale": 1.0,
         "first-line-indent": 0, "left-indent": 0, "right-indent": 0, "space-after": 0, "space-before": 0,
         "border-width": 0, "border-padding": 0, "page-bg-color": "#FFFFFF", "para-bg-color": "#FFFFFF",
         "auto-crop-width": true, "auto-crop-last-page": true,
         "newline-markup": "<font color=\"#FF0000\"> \\n </font>"}
        """##

    @Test func glyphsConfigurationIsReadKeyForKey() throws {
        let settings = try PageSettings(json: Array(Self.english.utf8))
        var expected = PageSettings()
        expected.fontPath = "../config/Verdana.ttf"
        expected.newlineMarkup = ##"<font color="#FF0000"> \n </font>"##
        #expect(settings == expected)
    }

    @Test func settingsSurviveARoundTrip() throws {
        var settings = PageSettings()
        settings.pageSize = (300.5, 400)
        settings.alignment = .justify
        settings.fontColour = Colour(red: 1, green: 0xAB, blue: 255)
        settings.fontFallback = ["NotoSansCJK-Regular.ttc"]
        settings.glyphPlacement = .pixel
        let json = try JSONEncoder().encode(settings)
        #expect(try PageSettings(json: Array(json)) == settings)
    }

    @Test(arguments: [
        (#"{"font-sise": 9}"#, "font-sise"), (#"{"dpi": "72"}"#, "dpi"), (#"{"dpi": 1e9}"#, "dpi"),
        (#"{"page-size": "595"}"#, "page-size"), (#"{"page-size": "1e308,1e308"}"#, "page-size"),
        (#"{"page-size": "nan,100"}"#, "page-size"), (#"{"font-color": "red"}"#, "font-color"),
        (#"{"alignment": "MIDDLE"}"#, "alignment"), (#"{"margin-x": 290}"#, "margin-x"),
        (#"{"margin-y": 415}"#, "margin-y"), (#"{"newline-markup": "<b>"}"#, "newline-markup"),
        (#"{"glyph-placement": "half"}"#, "glyph-placement"), (#"{"dpi": 72"#, "JSON"), ("[]", "settings"),
        (#"{"page-size": "14400,14400", "dpi": 1200}"#, "limit"),
    ])
    func aFaultySettingIsRefusedByName(_ json: String, _ name: String) {
        let error = #expect(throws: DocumentError.self) { try PageSettings(json: Array(json.utf8)) }
        #expect(error?.kind == .settings)
        #expect(error?.message.contains(name) == true, "\(error?.message ?? "")")
    }

    @Test func aPageOfWholePixelsGainsNone() throws {
        var settings = PageSettings()
        settings.pageSize = (588, 840)
        settings.dpi = 150
        #expect(settings.pagePixels == (1225, 1750))
    }

    @Test func aMissingFontNamesItsPackage() {
        var settings = PageSettings()
        settings.fontPath = "/nowhere/SourceHanSansHWSC-VF.ttf"
        let error = #expect(throws: DocumentError.self) { try TextDocument(text: "x", settings: settings) }
        #expect(error?.kind == .font)
        #expect(error?.message.contains("fonts-noto-cjk") == true)
    }
}
