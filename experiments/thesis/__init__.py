"""The study of Rusu (2018), chapter 2: its rows, comparisons, tables, figures and answers."""
