class UnicornBoard:
    pass
