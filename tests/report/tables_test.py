"""Tables of models that classify, and of those that reconstruct images."""

from distill.report import tables


def test_rounds_of_an_autoencoder_have_errors_for_accuracies():
    records = [
        {"step": None, "method": "none", "round": 0, "reconstruction_error": 0.0123456},
        {"step": 0, "method": "filters", "round": 0, "reconstruction_error": 0.02,
         "untuned_reconstruction_error": 0.5, "num_params": 1234},
    ]  # fmt: skip
    header = tables.compress_header(records)
    first, second = [
        dict(zip(header, row, strict=True)) for row in tables.compress_rows(records)[:2]
    ]
    assert (first["error"], first["error before tuning"]) == ("0.01235", "–")
    assert (second["step"], second["error before tuning"]) == ("0 filters", "0.50000")
    assert second["weights"] == "1,234"
    assert tables.compress_header([{"accuracy": 0.9}]) == tables.COMPRESS_HEADER


def test_a_network_of_four_bits_has_columns_for_it():
    plain = {"step": None, "round": 0, "accuracy": 0.99}
    small = {
        "step": 0,
        "method": "quantize",
        "round": 0,
        "int4_bytes": 4_560,
        "int4_accuracy": 0.98,
    }
    rows = tables.compress_rows([plain, small])
    assert tables.compress_header([plain, small])[-2:] == tables.INT4_HEADER
    assert [row[-2:] for row in rows] == [["–", "–"], ["4,560", "98.00"]]
    assert len(tables.compress_rows([plain])[0]) == len(tables.COMPRESS_HEADER)
