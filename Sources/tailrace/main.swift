print("tailrace")
