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
    assert tables.compress_header([{"accuracy": 0.9}]) is tables.COMPRESS_HEADER
